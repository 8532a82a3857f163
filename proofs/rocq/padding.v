(******************************************************************************)
(*      Padding in every mode is linear: P^(i) is a selection                 *)
(*                                                                            *)
(* One axis of n positions is padded by `before` and `after` positions, not   *)
(* necessarily equal.  Padded position j copies one input position, or is 0.  *)
(*                                                                            *)
(*   padding_mode == Zeros | Reflect | Replicate | Circular, as in torch      *)
(*   src mode n before j == the input position that padded position j copies, *)
(*                  or None: on any j, so that `after` is only a size         *)
(*   pad1_mx  == the padding matrix of one axis                               *)
(*   pad2_src == src on a tensor of channels, height and width                *)
(*   pad2 x   == the tensor x, padded                                         *)
(*   pad2_mx  == its padding matrix P                                         *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Inductive padding_mode := Zeros | Reflect | Replicate | Circular.

Section OneAxis.
Variables (n before : nat).
Local Open Scope nat_scope.

Definition src (mode : padding_mode) (j : nat) : option 'I_n :=
  match mode with
  | Zeros => if before <= j then insub (j - before) else None
  | Reflect => insub (if j < before then before - j
                      else if j - before < n then j - before
                      else n.-1.*2 - (j - before))
  | Replicate => insub (minn (j - before) n.-1)
  | Circular => insub ((j + before * n.-1) %% n)
  end.

(* in every mode, the inside of the padded axis is the axis *)
Theorem src_inside mode (i : 'I_n) : src mode (before + i) = Some i.
Proof.
have i_n := ltn_ord i; have n0 : 0 < n := leq_ltn_trans (leq0n i) i_n.
case: mode; rewrite /= ?leq_addr ?addKn ?valK //.
- by rewrite ltnNge leq_addr /= i_n valK.
- by rewrite (minn_idPl _) ?valK // -ltnS prednK.
by rewrite addnAC -mulnS prednK // modnMDl modn_small // valK.
Qed.

(* outside, there are zeros, *)
Theorem src_zeros j : (src Zeros j == None) = (j < before) || (before + n <= j).
Proof.
by rewrite /=; case: leqP => //= bj; rewrite insub_None leq_subRL.
Qed.

(* or a mirror at the first and at the last position, which is not repeated, *)
Theorem src_reflect_before k : k <= before -> k < n -> src Reflect (before - k) = insub k.
Proof.
case: k => [|k] kb kn; first by rewrite subn0 /= ltnn subnn kn.
by rewrite /= ltn_subrL (leq_trans _ kb) //= subKn.
Qed.

Theorem src_reflect_after k : k < n -> src Reflect (before + n.-1 + k) = insub (n.-1 - k).
Proof.
move=> kn; have n0 : 0 < n := leq_ltn_trans (leq0n k) kn.
rewrite /= -addnA ltnNge leq_addr addKn /=; case: k kn => [|k] kn.
  by rewrite addn0 ltn_predL n0 subn0.
have -> : (n.-1 + k.+1 < n) = false by rewrite addnS -addSn prednK // ltnNge leq_addr.
by rewrite -addnn subnDl.
Qed.

(* or the first and the last position again and again, *)
Theorem src_replicate_before j : j <= before -> src Replicate j = insub 0.
Proof. by rewrite /= -subn_eq0 => /eqP ->; rewrite min0n. Qed.

Theorem src_replicate_after j : before + n.-1 <= j -> src Replicate j = insub n.-1.
Proof.
move=> bj; rewrite /= (minn_idPr _) //.
by rewrite -(leq_add2l before) subnKC // (leq_trans (leq_addr _ _) bj).
Qed.

(* or the axis again and again. *)
Theorem src_circular j : src Circular (j + n) = src Circular j.
Proof. by rewrite /= addnAC modnDr. Qed.

(* Only zero padding makes something out of nothing. *)
Theorem src_total mode after j :
  mode <> Zeros -> 0 < n -> (mode = Reflect -> (before < n) && (after < n)) ->
  j < before + n + after -> src mode j <> None.
Proof.
have some i : i < n -> (insub i : option 'I_n) <> None by move=> i_n; rewrite insubT.
case: mode => // _ n0 refl jN; apply: some; last by rewrite ltn_mod.
  have /andP[bn an] := refl erefl; case: (ltnP j before) => [jb|bj].
    exact: leq_ltn_trans (leq_subr _ _) bn.
  case: (ltnP (j - before) n) => // nj; rewrite ltn_subLR; last first.
    rewrite -addnn -(leq_add2l before) subnKC //.
    move: jN; rewrite -{1}(prednK n0) addnS addSn ltnS => /leq_trans -> //.
    by rewrite addnA leq_add2l -ltnS prednK.
  rewrite -{2}(prednK n0) addnS ltnS -addnn; apply: leq_add; rewrite ?leq_pred //.
  exact: leq_trans (leq_pred n) nj.
by rewrite (leq_ltn_trans (geq_minr _ _)) // prednK.
Qed.

End OneAxis.
Arguments src : simpl never.

Section Pad1.
Variables (K : comRingType) (mode : padding_mode) (n before after : nat).

Definition pad1_mx : 'M[K]_(before + n + after, n) :=
  \matrix_(j, i) (src n before mode j == Some i)%:R.

Theorem pad1P (x : 'cV[K]_n) j : (pad1_mx *m x) j 0 = value (x^~ 0) (src n before mode j).
Proof. by rewrite mxE value_sum; apply: eq_bigr => i _; rewrite mxE. Qed.

End Pad1.

Section Pad2.
Variables (K : comRingType) (mode : padding_mode) (c h w top bottom left right : nat).
Local Notation Inp := ('I_c * 'I_h * 'I_w)%type.
Local Notation Mid := ('I_c * 'I_(top + h + bottom) * 'I_(left + w + right))%type.

Definition pad2_src (p : Mid) : option Inp :=
  place (Some p.1.1) (src h top mode p.1.2) (src w left mode p.2).
Definition pad2 (x : Inp -> K) : Mid -> K := select pad2_src x.
Definition pad2_mx : 'M[K]_(#|{: Mid}|, #|{: Inp}|) := select_mx K pad2_src.

Theorem pad2P x : pad2_mx *m vec x = vec (pad2 x).
Proof. exact: selectP. Qed.

(* what it means, without matrices *)
Theorem pad2_inside x (p : Mid) (i : 'I_h) (j : 'I_w) :
  p.1.2 = (top + i)%N :> nat -> p.2 = (left + j)%N :> nat -> pad2 x p = x (p.1.1, i, j).
Proof. by move=> pi pj; rewrite /pad2 /select /pad2_src pi pj !src_inside. Qed.

Theorem pad2_zeros x (p : Mid) : mode = Zeros ->
  ~~ ((top <= p.1.2 < top + h) && (left <= p.2 < left + w))%N -> pad2 x p = 0.
Proof.
have outside n b j : (b <= j < b + n)%N = (src n b Zeros j != None).
  by rewrite src_zeros negb_or -leqNgt -ltnNge.
move=> z; rewrite /pad2 /select /pad2_src z !outside negb_and !negbK.
by case/orP => /eqP ->; last case: (src h).
Qed.

(* a per-channel constant passes every padding but the zero padding: there a bias
   before the padding may be moved behind it, and only there *)
Theorem pad2_constant (a : 'I_c -> K) (p : Mid) :
  mode <> Zeros -> (0 < h)%N -> (0 < w)%N ->
  (mode = Reflect -> [&& top < h, bottom < h, left < w & right < w]%N) ->
  pad2 (fun i => a i.1.1) p = a p.1.1.
Proof.
move=> nz h0 w0 refl; rewrite /pad2 /select /pad2_src.
have := src_total (before := top) (after := bottom) nz h0 _ (ltn_ord p.1.2).
have := src_total (before := left) (after := right) nz w0 _ (ltn_ord p.2).
case: src => [j|] jP; last by case: jP => // /refl /and4P[_ _ -> ->].
by case: src => [i|] iP; last by case: iP => // /refl /and4P[-> -> _ _].
Qed.

(* padding with a constant v is affine: linear part, that of zero padding *)
Theorem pad2_value v x :
  vec (fun p => if pad2_src p is Some i then x i else v) =
  pad2_mx *m vec x + vec (fun p => if pad2_src p is Some i then 0 else v).
Proof.
rewrite pad2P -vecD; apply/eq_vec => p; rewrite /pad2 /select.
by case: pad2_src => [i|] /=; rewrite ?addr0 ?add0r.
Qed.

End Pad2.

Print Assumptions src_inside.
Print Assumptions src_zeros.
Print Assumptions src_reflect_before.
Print Assumptions src_reflect_after.
Print Assumptions src_replicate_before.
Print Assumptions src_replicate_after.
Print Assumptions src_circular.
Print Assumptions src_total.
Print Assumptions pad1P.
Print Assumptions pad2P.
Print Assumptions pad2_inside.
Print Assumptions pad2_zeros.
Print Assumptions pad2_constant.
Print Assumptions pad2_value.
