(******************************************************************************)
(*      Any number of axes: convolution and padding in n dimensions           *)
(*                                                                            *)
(* There are D axes; axis a has n a positions.  The order of vec is any fixed *)
(* order of the positions.                                                    *)
(*                                                                            *)
(*      grid n == the positions: one of 'I_(n a) for every axis a             *)
(*    locate p == the position with the numbers p a, if all are inside        *)
(*   convn g s dl kern x == the multichannel cross-correlation, with groups,  *)
(*               strides s a and dilations dl a, of an already padded input   *)
(*    convn_mx == its matrix     padn, padn_mx == padding, and its matrix     *)
(*        taun == the entry of convn_mx on the diagonals z a (integers)       *)
(*     place_n == the channel and the position with given numbers             *)
(*    padn_src == what a padded position copies, if anything                  *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern padding toeplitz.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Notation grid n := {dffun forall a, 'I_(n a)}.

Section Locate.
Variables (D : nat) (n : 'I_D -> nat).

Definition locate (p : 'I_D -> nat) : option (grid n) :=
  [pick q : grid n | [forall a, q a == p a :> nat]].

Lemma locate_eq p q : (locate p == Some q) = [forall a, q a == p a :> nat].
Proof.
rewrite /locate; case: pickP => [q' /forallP q'p|none]; last by rewrite none.
rewrite (inj_eq Some_inj); apply/eqP/forallP => [<- //|qp].
by apply/ffunP => a; apply/ord_inj; rewrite (eqP (qp a)) (eqP (q'p a)).
Qed.

End Locate.

Section Conv.
Variables (K : comRingType) (D ci co g : nat) (n k m s dl : 'I_D -> nat).
Local Notation cg := (ci %/ g)%N.
Local Notation og := (co %/ g)%N.
Local Notation Inp := ('I_ci * grid n)%type.
Local Notation Out := ('I_co * grid m)%type.
Variable kern : 'I_co -> 'I_cg -> grid k -> K.

(* channel c and the position with the numbers p a *)
Definition place_n (c : nat) (p : 'I_D -> nat) : option Inp :=
  if insub c is Some c' then if locate n p is Some q then Some (c', q) else None else None.

Lemma place_n_eq c p i : (place_n c p == Some i) = (i.1 == c :> nat) && (locate n p == Some i.2).
Proof.
case: i => c' q; rewrite -insub_eq /place_n; case: insub => //= c''.
by case: locate => [q'|]; rewrite ?andbF // !(inj_eq Some_inj) -pair_eqE.
Qed.

Definition convn (x : Inp -> K) (o : Out) : K :=
  \sum_(c < cg) \sum_(t : grid k) kern o.1 c t *
    value x (place_n (o.1 %/ og * cg + c) (fun a => (o.2 a * s a + t a * dl a)%N)).

Definition convnF (o : Out) (i : Inp) : K :=
  \sum_(c < cg) \sum_(t : grid k) kern o.1 c t *
    ((i.1 == o.1 %/ og * cg + c :> nat)
     && [forall a, i.2 a == o.2 a * s a + t a * dl a :> nat])%N%:R.
Definition convn_mx : 'M[K]_(#|{: Out}|, #|{: Inp}|) := mxf convnF.

Theorem convnP x : convn_mx *m vec x = vec (convn x).
Proof.
rewrite mxf_vec; apply/eq_vec => o; under eq_bigr do rewrite mulr_suml.
rewrite exchange_big; apply: eq_bigr => c _ /=; under eq_bigr do rewrite mulr_suml.
rewrite exchange_big; apply: eq_bigr => t _ /=; rewrite value_sum mulr_sumr.
by apply: eq_bigr => i _; rewrite place_n_eq locate_eq mulrA.
Qed.

(* Toeplitz in every axis, channel by channel *)
Definition taun (o : 'I_co) (c : 'I_ci) (z : 'I_D -> int) : K :=
  \sum_(c' < cg) \sum_(t : grid k) kern o c' t *
    ((c == o %/ og * cg + c' :> nat) && [forall a, z a == (t a * dl a)%:Z])%N%:R.

Theorem convn_toeplitz o u c q :
  convnF (o, u) (c, q) = taun o c (fun a => (q a)%:Z - (u a * s a)%:Z).
Proof.
do 2 (apply: eq_bigr => ? _); congr (_ * (_ && _)%:R).
by apply: eq_forallb => a; rewrite /= eq_diagonal.
Qed.

End Conv.

Section Pad.
Variables (K : comRingType) (mode : padding_mode) (D c : nat) (n before after : 'I_D -> nat).
Local Notation padded := (fun a => (before a + n a + after a)%N).
Local Notation Inp := ('I_c * grid n)%type.
Local Notation Mid := ('I_c * grid padded)%type.

Definition padn_src (p : Mid) : option Inp :=
  if [pick q : grid n | [forall a, src (n a) (before a) mode (p.2 a) == Some (q a)]] is Some q
  then Some (p.1, q) else None.
Definition padn (x : Inp -> K) : Mid -> K := select padn_src x.
Definition padn_mx : 'M[K]_(#|{: Mid}|, #|{: Inp}|) := select_mx K padn_src.

Theorem padnP x : padn_mx *m vec x = vec (padn x).
Proof. exact: selectP. Qed.

(* every axis copies the position that its mode says, *)
Theorem padn_copies x (p : Mid) (q : grid n) :
  (forall a, src (n a) (before a) mode (p.2 a) = Some (q a)) -> padn x p = x (p.1, q).
Proof.
move=> pq; rewrite /padn /select /padn_src; case: pickP => [q' /forallP q'P|/(_ q)] /=.
  by congr (x (_, _)); apply/ffunP => a; apply: Some_inj; rewrite -pq; apply/esym/eqP/q'P.
by move/negP; case; apply/forallP => a; rewrite pq.
Qed.

(* and where one axis is outside there is a zero *)
Theorem padn_zero x (p : Mid) a : src (n a) (before a) mode (p.2 a) = None -> padn x p = 0.
Proof.
move=> out; rewrite /padn /select /padn_src; case: pickP => [q /forallP/(_ a)|] //.
by rewrite out.
Qed.

End Pad.

Print Assumptions convnP.
Print Assumptions convn_toeplitz.
Print Assumptions padnP.
Print Assumptions padn_copies.
Print Assumptions padn_zero.
