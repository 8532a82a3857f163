(******************************************************************************)
(*      Networks that are not affine, cut at what is not                      *)
(*                                                                            *)
(* A network is a list of steps.  Each makes one value: an affine region of   *)
(* earlier values, or a call that is only known by its name, what it is given *)
(* and the shape of what it returns.  Two networks whose regions are the same *)
(* functions one by one and whose calls are written alike are the same        *)
(* function, whatever the calls compute.                                      *)
(*                                                                            *)
(*   step == Region from net, or Call from name                               *)
(*   run_steps call steps values == all values, the newest last               *)
(*   paired ss A B == the steps are written alike, and every region is the    *)
(*              same function: what the checker decides region by region      *)
(******************************************************************************)
Require Import List QArith Bool Lia.
From AlgebraicCNN.checker Require Import evaluator rational shapes patterns.
Import ListNotations.

Inductive step (N : Type) := Region (from : list nat) (net : N) | Call (from : list nat) (name : list nat).
Arguments Region {N}.
Arguments Call {N}.

(* the numbers of the values that a step is given, in their order *)
Definition given (values : list (list Q)) (from : list nat) : list Q := concat (map (fun k => nth k values []) from).

Section Steps.
(* what a call computes: of its name and what it is given *)
Variable call : list nat -> list (list Q) -> list Q.

Definition shapes_of (ss : list shape) (from : list nat) : list shape := map (fun k => nth k ss (0, 0, 0)%nat) from.
Definition run_step (ss : list shape) (values : list (list Q)) (s : step (list (layer number))) : list Q :=
  match s with
  | Region from net => run net (shapes_of ss from) (given values from)
  | Call from name => call name (map (fun k => nth k values []) from)
  end.
(* ss: the shapes of all values, those that are still to come included *)
Definition run_steps (ss : list shape) : list (step (list (layer number))) -> list (list Q) -> list (list Q) :=
  fold_left (fun values s => values ++ [run_step ss values s]).

Definition alike (ss : list shape) (s t : step (list (layer number))) : Prop :=
  match s, t with
  | Region from A, Region from' B => from = from' /\ same (shapes_of ss from) A B
  | Call from name, Call from' name' => from = from' /\ name = name'
  | _, _ => False
  end.
Definition paired (ss : list shape) (A B : list (step (list (layer number)))) : Prop := Forall2 (alike ss) A B.

(* a call does not tell two ways to write a fraction apart *)
Hypothesis call_equal : forall name xs ys, Forall2 (Forall2 Qeq) xs ys -> Forall2 Qeq (call name xs) (call name ys).

Lemma Qeq_lists : forall x : list Q, Forall2 Qeq x x.
Proof. induction x; constructor; [reflexivity|assumption]. Qed.
Lemma Qeq_trans : forall x y z : list Q, Forall2 Qeq x y -> Forall2 Qeq y z -> Forall2 Qeq x z.
Proof.
intros x y z E. revert z. induction E as [|a b x y Eab E IH]; intros z F; inversion F; subst; constructor.
- now rewrite Eab.
- now apply IH.
Qed.
Lemma run_equal net ss X Y : Forall2 Qeq X Y -> Forall2 Qeq (run net ss X) (run net ss Y).
Proof.
intro E. unfold run. rewrite <- (map_layer_id net) at 2. apply output_rel with (fine := fun _ : number => True).
- reflexivity.
- reflexivity.
- intros a a' b b' -> ->. reflexivity.
- intros k a a' _ ->. reflexivity.
- apply all_fine.
- now apply cut_rel.
Qed.
Lemma entries_app a b : entries (a ++ b) = (entries a + entries b)%nat.
Proof. induction a as [|[[c h] w] a IH]; [reflexivity|]. unfold entries in *. cbn [app fold_right]. rewrite IH. lia. Qed.

(* every value has the size of its shape: what network_shaped proves of regions, and is demanded of calls *)
Definition sized (ss : list shape) (values : list (list Q)) : Prop :=
  forall k, (k < length values)%nat -> length (nth k values []) = entries [nth k ss (0, 0, 0)%nat].
Lemma given_length ss values from : sized ss values -> Forall (fun k => (k < length values)%nat) from ->
  length (given values from) = entries (shapes_of ss from).
Proof.
intros S F. unfold given, shapes_of. induction F as [|k from K F IH]; [reflexivity|]. cbn [map concat].
rewrite app_length, IH, (S k K). unfold entries. cbn [map fold_right].
destruct (nth k ss (0, 0, 0)%nat) as [[c h] w]. lia.
Qed.
Lemma given_equal values values' from : Forall2 (Forall2 Qeq) values values' ->
  Forall2 Qeq (given values from) (given values' from).
Proof.
intro E. unfold given. apply rel_concat. induction from as [|k from IH]; cbn [map]; constructor; [|exact IH].
apply rel_nth; [constructor|exact E].
Qed.

Definition earlier (n : nat) (s : step (list (layer number))) : Prop :=
  match s with Region from _ | Call from _ => Forall (fun k => (k < n)%nat) from end.
(* no step is given a value that is not there yet, and the values of the first network have their sizes *)
Fixpoint ordered (n : nat) (steps : list (step (list (layer number)))) : Prop :=
  match steps with [] => True | s :: rest => earlier n s /\ ordered (S n) rest end.

Theorem paired_equal ss A B : paired ss A B -> forall X, ordered (length X) A ->
  (forall k, sized ss (run_steps ss (firstn k A) X)) ->
  forall Y, Forall2 (Forall2 Qeq) X Y -> Forall2 (Forall2 Qeq) (run_steps ss A X) (run_steps ss B Y).
Proof.
intro P. induction P as [|s t A B St P IH]; intros X O S Y E; [exact E|].
cbn [run_steps fold_left]. destruct O as [Os O]. apply IH.
- rewrite app_length, Nat.add_comm. exact O.
- intro k. exact (S (Datatypes.S k)).
- apply Forall2_app; [exact E|]. constructor; [|constructor].
  specialize (S 0%nat). cbn [firstn] in S. change (sized ss X) in S.
  destruct s as [from net|from name], t as [from' net'|from' name']; cbn [alike] in St; try contradiction;
    destruct St as [<- St]; cbn [run_step earlier] in *.
  + apply Qeq_trans with (run net' (shapes_of ss from) (given X from)).
    * apply St. now apply given_length.
    * now apply run_equal, given_equal.
  + subst name'. apply call_equal. induction from as [|k from IHf]; cbn [map]; constructor.
    * apply rel_nth; [constructor|exact E].
    * apply IHf. now inversion Os.
Qed.
End Steps.

Print Assumptions paired_equal.
